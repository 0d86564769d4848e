"""The reader of tokens with what keeps it true: keys that change, figures that are shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.gateway.identity.key_file import parse_keys, read_key_file
from engine.gateway.identity.key_watch import KeyWatch
from engine.gateway.identity.keys import TokenKey, TokenKeys
from engine.gateway.identity.token_cache import TokenCache
from engine.gateway.identity.tokens import TokenReader
from engine.gateway.identity.validity import TokenRules
from engine.service import Loop
from engine.settings import Settings

PASS_S: Final = 1.0
"""Between two looks at the file of keys: an issuer publishes a key minutes before it signs with it."""


class TokenUpkeep:
    """A service: `reader` verifies by the secrets given and by the keys of `jwt_keys_file`, whatever it holds now."""

    def __init__(self, secrets: Sequence[bytes], settings: Settings) -> None:
        """Raises SettingsError where the file of keys is none."""
        self._secrets = tuple(map(TokenKey.secret, secrets))
        self._cache = TokenCache(settings.token_cache_max)
        self._watch: KeyWatch | None = None
        published: tuple[TokenKey, ...] = ()
        if settings.jwt_keys_file:
            path = Path(settings.jwt_keys_file)
            content = read_key_file(path)
            published = parse_keys(content, path)
            self._watch = KeyWatch(path, content, self._use)
        self.reader = TokenReader(TokenKeys((*self._secrets, *published)), TokenRules.of(settings), self._cache)
        self._loop = Loop("token upkeep", self.look, PASS_S)

    async def start(self) -> None:
        """Begin to look at the file."""
        await self._loop.start()

    async def stop(self) -> None:
        """End; the figures are shown a last time."""
        await self._loop.stop()
        self._cache.publish()

    async def look(self) -> None:
        """One pass: show the figures, read the file again."""
        self._cache.publish()
        if self._watch is not None:
            await self._watch.look()

    def _use(self, published: tuple[TokenKey, ...]) -> None:
        self.reader.use(TokenKeys((*self._secrets, *published)))
