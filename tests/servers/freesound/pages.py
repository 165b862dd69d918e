"""HTML pages that the site shows to a browser."""

from html import escape


def layout(title: str, body: str) -> str:
    """Return a page with this title and body."""
    head = f"<head><meta charset='utf-8'><title>{escape(title)}</title></head>"
    return f"<!doctype html>\n<html>{head}\n<body>{body}</body></html>\n"


def error(status: int, message: str) -> str:
    """Return an error page of the site itself."""
    return layout(f"Freesound - {message}", f"<h1>{status}</h1><p>{escape(message)}</p>")


def nginx_error(status: int, message: str) -> str:
    """Return an error page of the web server before the site."""
    title = f"{status} {message}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body><center><h1>{title}</h1></center></body>\r\n</html>\r\n"
    )


def moved(location: str) -> str:
    """Return the page of a permanent redirect."""
    return layout("Moved", f"<a href='{escape(location)}'>moved</a>")


def authorization_error(reason: str) -> str:
    """Return the page for a broken authorization request; the reason stands in a comment only."""
    return layout(
        "Freesound - authorization",
        f"<h3>Oops! there were some errors...</h3><!-- {escape(reason)} -->",
    )


def hidden_fields(fields: dict[str, str]) -> str:
    """Return hidden inputs of a form."""
    return "".join(
        f"<input type='hidden' name='{escape(name)}' value='{escape(value)}'>"
        for name, value in fields.items()
    )


def login(csrf: str, next_address: str, failed: bool) -> str:
    """Return the login page; `failed` adds the message about a wrong password."""
    message = "<p class='error'>Please enter a correct username and password.</p>"
    hidden = hidden_fields({"csrfmiddlewaretoken": csrf, "next": next_address})
    return layout(
        "Freesound (local double) - log in",
        f"<h1>Log in</h1>{message if failed else ''}"
        f"<form method='post' action='/apiv2/login/'>{hidden}"
        "<label>Username <input name='username' autofocus></label> "
        "<label>Password <input name='password' type='password'></label> "
        "<input type='submit' value='Log in'></form>",
    )


def consent(application: str, username: str, fields: dict[str, str]) -> str:
    """Return the page on which a person allows an app to act for them."""
    return layout(
        "Freesound (local double) - authorize",
        f"<h1>Authorize {escape(application)}?</h1><p>Logged in as <b>{escape(username)}</b>. "
        f"It asks for: {escape(fields['scope'])}.</p>"
        f"<form method='post' action='/apiv2/oauth2/authorize'>{hidden_fields(fields)}"
        "<input type='submit' value='Deny'> "
        "<input type='submit' name='allow' value='Authorize!'></form>",
    )


def permission_granted(application: str, code: str) -> str:
    """Return the page that shows the code of an app without a callback."""
    return layout(
        "Freesound - permission granted",
        f"<p>Permission granted to application {escape(application)}!. "
        f"Your authorization code:</p><div>{escape(code)}</div>",
    )


def access_denied() -> str:
    """Return the page for a code that is unknown or too old."""
    return layout("Freesound - access denied", "<p>Access has been denied.</p>")


def terms() -> str:
    """Return the page that asks to accept the terms of service."""
    return layout(
        "Freesound - terms of service",
        "<h1>Terms of service</h1><p>Please accept the new terms before going on.</p>",
    )


def browsable(text: str) -> str:
    """Return the API's page for people, around a JSON reply."""
    return layout("Freesound API", f"<pre>{escape(text)}</pre>")
