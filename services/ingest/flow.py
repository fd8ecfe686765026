"""Webhooks and visitors in, `inbound` out. No flow: nothing here is derived from the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from libs.contracts.vocabulary import Channel
from libs.flow.tail import Tail
from libs.service.process import App, Runtime
from services.ingest.api import Webhooks
from services.ingest.intake import Intake
from services.ingest.settings import Settings
from services.ingest.visitors.feed import VisitorFeed
from services.ingest.visitors.routes import Visitors


def build(runtime: Runtime[Settings]) -> App:
    settings = runtime.settings
    intake = Intake(runtime.workspace, runtime.publisher, runtime.time, settings.ack_within)
    feed = VisitorFeed(settings.visitors_remembered, settings.answers_remembered)
    router = routes(intake, feed, settings.largest_body)

    @asynccontextmanager
    async def follow_answers() -> AsyncIterator[None]:
        """From some time before this process began: a visitor who was connected to the one before it missed what came
        in between. No visitor is served before that is read, since then it would look like news to those who have seen it."""
        tail = Tail(
            settings.kafka, ["outbound"], feed.on_event, time=runtime.time, client="sambung-ingest-visitors"
        )
        try:
            await tail.start(settings.answers_kept)
            await tail.caught_up()
            yield
        finally:
            await tail.stop()

    has_web_chat = any(inbox.channel is Channel.WEBCHAT for inbox in runtime.workspace.inboxes.values())
    return App(api=router, background=[follow_answers] if has_web_chat else [])


def routes(intake: Intake, feed: VisitorFeed, largest_body: int) -> APIRouter:
    """Everything that this service answers to."""
    router = APIRouter()
    Webhooks(intake, largest_body).add_to(router)
    Visitors(intake, feed).add_to(router)
    return router
