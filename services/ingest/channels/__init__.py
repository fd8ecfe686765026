"""The channels and what reads each: the one place to add a channel to."""

from collections.abc import Mapping

from libs.contracts.vocabulary import Channel
from services.ingest.channels.adapter import Adapter, Handshake
from services.ingest.channels.custom import Custom
from services.ingest.channels.telegram import Telegram
from services.ingest.channels.webchat import WebChat
from services.ingest.channels.whatsapp import WhatsApp

ADAPTERS: Mapping[Channel, Adapter] = {
    Channel.WHATSAPP: WhatsApp(),
    Channel.TELEGRAM: Telegram(),
    Channel.WEBCHAT: WebChat(),
    Channel.CUSTOM: Custom(),
}
HANDSHAKES: Mapping[Channel, Handshake] = {Channel.WHATSAPP: WhatsApp()}
