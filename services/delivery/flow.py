"""Messages to send in, what became of each out."""

from libs.contracts.payloads.conversations import DeliveryReported, MessageRequested, MessageStatusChanged
from libs.flow.flow import Flow, Performer
from libs.service.background import running
from libs.service.process import App, Runtime
from services.delivery.channels.table import CHANNELS
from services.delivery.effects import RetryDue, SendMessage
from services.delivery.gauges import watch_waiting
from services.delivery.handlers import Handlers
from services.delivery.sending import Sender
from services.delivery.settings import Settings
from services.delivery.store import DeliveryStore


def flow(on: Handlers, send: Performer) -> Flow:
    return Flow(
        name="delivery",
        schema="delivery",
        gather=0.1,
        store=DeliveryStore,
        reads={
            "outbound": {MessageRequested: on.on_message_requested},
            "conversations": {MessageStatusChanged: on.on_message_status_changed},
        },
        timers={RetryDue: on.on_retry_due},
        performers={SendMessage: send},
        results={SendMessage: on.on_sent},
        emits={"deliveries": (DeliveryReported,)},
        # Most of an effect is waiting for a provider. A lane must have room for all inboxes while one of them is slow.
        effects_at_once=256,
    )


def handlers(settings: Settings) -> Handlers:
    repeatable = {name: channel.repeatable for name, channel in CHANNELS.items()}
    return Handlers(settings.give_up_after, settings.doubt_wait, repeatable)


def build(runtime: Runtime[Settings]) -> App:
    settings = runtime.settings
    # Not closed at the end: the lanes may still be sending when backgrounds are left, and the process takes the sockets along.
    sender = Sender(runtime.workspace, runtime.time, request_timeout=settings.request_timeout)
    watching = watch_waiting(runtime.database, runtime.time)
    return App(
        flows=[flow(handlers(settings), sender)],
        background=[lambda: running("waiting", watching, runtime.died)],
    )
