"""Why a token is not taken, in words for whoever has sent it."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.refusals import Problem


def _not_taken(en: str, zh: str) -> Problem:
    return Problem("unauthenticated", Words(en, zh))


TOKEN_MISSING: Final = _not_taken(
    "there is no token: send Authorization: Bearer <token>", "缺少令牌：请发送 Authorization: Bearer <令牌>"
)
MALFORMED: Final = _not_taken("this is not a token", "令牌格式无效")
HEADER: Final = _not_taken("the token's header asks for what is not taken here", "令牌头部包含不接受的内容")
SIGNATURE: Final = _not_taken("the token's signature is not valid", "令牌签名无效")
EXPIRED: Final = Problem("token_expired")
NOT_YET: Final = _not_taken("the token is not valid yet", "令牌尚未生效")
LACKING: Final = _not_taken("the token lacks sub or exp", "令牌缺少 sub 或 exp")
TIMES: Final = _not_taken("exp, nbf and iat have to be numbers: Unix seconds", "exp、nbf、iat 必须是数字（Unix 秒）")
ISSUER: Final = _not_taken("the token is of another issuer", "令牌的签发者不符")
AUDIENCE: Final = _not_taken("the token is for another audience", "令牌的受众不符")


def wrong_algorithm(algorithms: tuple[str, ...]) -> Problem:
    """The token is signed in another way than by those."""
    return _not_taken(
        f"the token has to be signed with {' or '.join(algorithms)}", f"令牌必须使用 {' 或 '.join(algorithms)} 签名"
    )
