"""Who may do what, with the answers that the Hub gives to those who may not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .exchange import Exchange, Refused
from .storage import Repo, Storage

WRONG_TOKEN = "Invalid credentials in Authorization header"
NO_LOGIN = "Invalid username or password."


@dataclass(frozen=True)
class Token:
    """An access token: `role` is `read` or `write`; its user may write in the namespaces `user` and `orgs`."""

    secret: str
    user: str = "tester"
    role: str = "write"
    orgs: tuple[str, ...] = ("lab",)

    def belongs(self, namespace: str) -> bool:
        return namespace == self.user or namespace in self.orgs


@dataclass
class Rights:
    """The server's tokens, asked by every route."""

    storage: Storage
    tokens: dict[str, Token] = field(default_factory=dict)

    def add(self, tokens: Iterable[Token]) -> None:
        self.tokens.update({token.secret: token for token in tokens})

    def token(self, exchange: Exchange) -> Token | None:
        """Who asks; None for nobody in particular.

        Raises:
            Refused: 401, for a token that the server does not know, wherever it is shown.
        """
        if exchange.token is None:
            return None
        if exchange.token not in self.tokens:
            raise Refused(401, NO_LOGIN if exchange.phase == "whoami" else WRONG_TOKEN)
        return self.tokens[exchange.token]

    def somebody(self, exchange: Exchange) -> Token:
        token = self.token(exchange)
        if token is None:
            raise Refused(401, NO_LOGIN)
        return token

    def readable(self, exchange: Exchange) -> Repo:
        """The repo of the path, as far as its name and its listing go.

        Raises:
            Refused: the same whether there is no such repo or it is private: 401 without a token, 404 with one.
        """
        token = self.token(exchange)
        repo = self.storage.repo(exchange.repo)
        if repo is None or (repo.private and (token is None or not token.belongs(repo.namespace))):
            if token is None:
                raise Refused(401, NO_LOGIN, "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        return repo

    def files_of(self, exchange: Exchange) -> Repo:
        """The repo of the path, whose files may be read: of a gated one only by those on its list."""
        repo = self.readable(exchange)
        token = self.token(exchange)
        if repo.gated and (token is None or not (token.belongs(repo.namespace) or token.user in repo.members)):
            what = f"Access to model {repo.id} is restricted"
            if token is None:
                raise Refused(
                    401, f"{what}. You must have access to it and be authenticated to access it.", "GatedRepo"
                )
            raise Refused(403, f"{what} and you are not in the authorized list.", "GatedRepo")
        return repo

    def writable(self, exchange: Exchange, *, pull_request: bool = False, message: str | None = None) -> Repo:
        """The repo of the path, for a change, or for a pull request, which needs no rights on the repo itself."""
        token = self.token(exchange)
        repo = self.readable(exchange)
        if token is None:
            raise Refused(401, NO_LOGIN)
        if token.role != "write":
            raise Refused(403, message or "You must use a write token to do this")
        if not pull_request and not token.belongs(repo.namespace):
            hint = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
            raise Refused(403, message or hint)
        return repo

    def namespace(self, exchange: Exchange, namespace: str | None) -> str:
        """The namespace that a new repo goes to."""
        token = self.somebody(exchange)
        wanted = namespace or token.user
        if token.role != "write" or not token.belongs(wanted):
            raise Refused(403, f'You don\'t have the rights to create a model under the namespace "{wanted}"')
        return wanted
