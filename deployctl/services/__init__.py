"""Services beside the engine: the frontend, and one file per add-on. Pure."""

from deployctl.model import Text

#: For every service. Compose copies the proxies of the operator's ``~/.docker/config.json``, their
#: passwords too, into containers that say nothing of their own; these talk to one another only.
NO_PROXIES: tuple[tuple[str, Text], ...] = (
    *(
        (name, "")
        for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY")
        for name in (upper, upper.lower())
    ),
    ("NO_PROXY", "*"),
    ("no_proxy", "*"),
)
