"""This file puts the router together: its two flows and what can be asked of their rows."""

from fastapi import APIRouter, Depends

from libs.service.auth import Bearer
from libs.service.process import App, Runtime
from services.router import api
from services.router.assignment import api as assignment_api
from services.router.assignment.flow import flow as assignment_flow
from services.router.assignment.hooks import Hooks
from services.router.conversations.flow import flow as conversations_flow
from services.router.settings import Settings


def build(runtime: Runtime[Settings]) -> App:
    workspace, database = runtime.workspace, runtime.database
    bearer = Bearer(runtime.settings.jwt_secret, workspace=workspace.id, time=runtime.time)
    # Not closed at the end: the lanes may still be asking when backgrounds are left, and the process takes the sockets along.
    hooks = Hooks(workspace, runtime.time)
    router = APIRouter(dependencies=[Depends(bearer)])
    router.include_router(api.routes(database))
    router.include_router(assignment_api.routes(database, workspace))
    return App(flows=[conversations_flow(workspace), assignment_flow(workspace, hooks)], api=router)
