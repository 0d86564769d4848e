"""`/v1/ops/campaigns`: operators see campaigns, plan changes, and put files into force."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain.campaign import Campaign, Catalogue
from engine.errors import (
    CampaignFileError,
    DropwaveError,
    HotStoreError,
    LedgerError,
    Mistake,
    RevisionMoved,
    UsageError,
)
from engine.gateway.answer import PRIVATE, Answer, Heading, Words
from engine.gateway.callers import Doorkeeper
from engine.gateway.ops_bodies import SentCampaign, read_campaign_body
from engine.gateway.ops_objects import campaign_row
from engine.gateway.ops_refusals import act_refused, moved, problem_of
from engine.gateway.parts import GatewayParts, OpsPart
from engine.gateway.refusals import Problem, refuse
from engine.gateway.status_objects import Members
from engine.scheduling.files import parse_campaign
from engine.scheduling.performing import Actor

_REVISION: Final = re.compile(r'"(0|[1-9][0-9]{0,9})"')
_SOURCE: Final = "the body"
_BAD_IF_MATCH: Final = Problem(
    "invalid_request",
    Words(
        'If-Match has to be the revision that you looked at, in quotes: If-Match: "3"; "0" for a new campaign',
        'If-Match 必须是您所查看的版本号并带引号：If-Match: "3"；新活动为 "0"',
    ),
    {"at": "If-Match"},
)
_FILES_MAX: Final = 4
"""Campaign files that are read or wait for that; the largest takes some two seconds, and nobody waits for many."""
_TOO_MANY_FILES: Final = Problem("busy", Words("other campaign files are being read here", "正在读取其他活动文件"))
_BUSY: Final = Problem("busy")
_encode: Final = msgspec.json.Encoder().encode


class Wish(Struct, frozen=True):
    """How a campaign is to be put. `revision` is the one that `If-Match` names (0: none yet), or None."""

    campaign: str
    revision: int | None
    is_dry_run: bool


class CampaignsEndpoint:
    """Campaigns as the ledger has them, and whether they are in the hot store."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._ops: OpsPart = parts.ops
        self._doorkeeper = doorkeeper
        self._parsing = asyncio.Lock()
        self._files = 0

    async def campaigns(self, heading: Heading) -> Answer:
        """All of them. Where the ledger is away: those in the hot store, and `complete` is false."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        try:
            catalogues, stopped, is_complete = await self._read()
        except LedgerError:
            return refuse(_BUSY, heading.accept_language)
        rows = [campaign_row(catalogue, stopped) for catalogue in catalogues]
        return Answer(200, "ok", PRIVATE, _encode({"campaigns": rows, "complete": is_complete}))

    async def campaign(self, campaign: str, heading: Heading) -> Answer:
        """One of them, with its revision as ETag."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        try:
            catalogues, stopped, is_complete = await self._read()
        except LedgerError:
            return refuse(_BUSY, heading.accept_language)
        found = next((catalogue for catalogue in catalogues if catalogue.id == campaign), None)
        if found is None:
            return refuse(Problem("not_found" if is_complete else "busy"), heading.accept_language)
        return _tagged(200, found.revision, campaign_row(found, stopped))

    async def put(self, campaign: str, query: Mapping[str, str], heading: Heading, body: bytes) -> Answer:
        """Put a file into force, or with `?dry_run=1` say what that would change."""
        caller = self._doorkeeper.operator(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        revision = _expected(heading.if_match)
        if isinstance(revision, Problem):
            return refuse(revision, heading.accept_language)
        sent = read_campaign_body(heading.content_type, body)
        if isinstance(sent, Problem):
            return refuse(sent, heading.accept_language)
        wish = Wish(campaign, revision, query.get("dry_run", "") not in ("", "0", "false"))
        try:
            actor = Actor(caller.identity.account, query.get("reason") or "apply")
            read = await self._parse(wish, sent)
            if isinstance(read, Problem):
                return refuse(read, heading.accept_language)
            answer = await (self._plan(read, wish) if wish.is_dry_run else self._apply(read, wish, actor))
        except DropwaveError as error:
            return refuse(problem_of(error), heading.accept_language)
        return refuse(answer, heading.accept_language) if isinstance(answer, Problem) else answer

    async def _read(self) -> tuple[list[Catalogue], dict[str, str], bool]:
        """Campaigns, why those in the hot store are stopped, and whether the ledger could be asked."""
        try:
            shards = await self._ops.operations.shards()
        except HotStoreError:
            shards = []
        stopped = {shard.campaign: shard.rules.stopped for shard in shards}
        try:
            return await self._ops.catalogues(), stopped, True
        except LedgerError:
            if not shards:
                raise
            return [shard.catalogue for shard in shards], stopped, False

    async def _parse(self, wish: Wish, sent: SentCampaign) -> Campaign | Problem:
        """The campaign. In a thread, one at a time: the largest file takes seconds, and claims go on meanwhile."""
        if self._files >= _FILES_MAX:
            return _TOO_MANY_FILES
        self._files += 1
        try:
            async with self._parsing:
                read = await asyncio.to_thread(parse_campaign, sent.text, _SOURCE, None, sent.lists)
        finally:
            self._files -= 1
        if read.id != wish.campaign:
            what = f"is {read.id}, and the address says {wish.campaign}: they have to be the same"
            raise CampaignFileError(_SOURCE, [Mistake(0, "campaign", what)])
        return read

    async def _plan(self, campaign: Campaign, wish: Wish) -> Answer | Problem:
        plan = await self._ops.plan(campaign)
        if plan.changes and wish.revision not in (None, plan.revision):
            return moved(f"campaign {campaign.id} is at revision {plan.revision}", plan.revision)
        return _tagged(200, plan.revision, {"dry_run": True, **msgspec.to_builtins(plan)})

    async def _apply(self, campaign: Campaign, wish: Wish, actor: Actor) -> Answer | Problem:
        try:
            applied = await self._ops.apply(campaign, actor, wish.revision)
        except RevisionMoved:
            raise
        except UsageError as error:
            refusals = (await self._ops.plan(campaign)).refusals  # one by one, where they still hold
            return act_refused(refusals or [str(error)])
        revision = applied.catalogue.revision
        status = 201 if applied.changed and revision == 1 else 200
        return _tagged(status, revision, {"campaign": campaign.id, "revision": revision, "changed": applied.changed})


def _expected(if_match: str) -> int | Problem | None:
    """The revision of `If-Match`; None where there is none."""
    if not if_match:
        return None
    match = _REVISION.fullmatch(if_match.strip())
    return int(match[1]) if match else _BAD_IF_MATCH


def _tagged(status: int, revision: int, members: Members) -> Answer:
    headers = (*PRIVATE, ("ETag", f'"{revision}"'))
    return Answer(status, "ok", headers, _encode(members))
