"""This file is the table of channels that are sent to over HTTP; web chat is missing because its sockets read `outbound`."""

from collections.abc import Mapping

from libs.contracts.vocabulary import Channel as ChannelName
from services.delivery.channels.channel import Channel
from services.delivery.channels.custom import Custom
from services.delivery.channels.telegram import Telegram
from services.delivery.channels.whatsapp import WhatsApp

CHANNELS: Mapping[ChannelName, Channel] = {
    ChannelName.WHATSAPP: WhatsApp(),
    ChannelName.TELEGRAM: Telegram(),
    ChannelName.CUSTOM: Custom(),
}
