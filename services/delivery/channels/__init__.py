"""How each channel is spoken to: a pure builder of requests and a pure reader of answers per channel.

| Channel  | Key towards the provider   | A request that may have arrived                                           |
|----------|----------------------------|---------------------------------------------------------------------------|
| whatsapp | none                       | wait for a receipt that names our message, then send again                |
| telegram | none, and no receipts      | send again at once: a rare second copy is better than a lost answer        |
| custom   | `Idempotency-Key` header   | send again at once: the receiver drops the second copy by the key          |
| webchat  | the message's own id       | cannot happen: visitors' sockets read `outbound` themselves                |
"""
