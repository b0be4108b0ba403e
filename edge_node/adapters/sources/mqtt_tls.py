"""TLS to a plant's broker, and why a connection could not be made, in words.

Used by `mqtt_link`. Always checks the broker's certificate; there is no option to leave it out.
"""

from __future__ import annotations

import ssl
from typing import Any

from edge_node.adapters.sources.mqtt_options import LinkOptions
from edge_node.adapters.sources.port import Source
from shared.errors import ConfigError


class TlsContext(ssl.SSLContext):
    """Asks for another name than that of the address, where one is given."""

    server_name = ""
    last: ssl.SSLSocket | None = None

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        """As the library's own."""
        if self.server_name:
            named["server_hostname"] = self.server_name
        self.last = super().wrap_socket(*given, **named)
        return self.last

    def drop(self) -> None:
        """Close the connection whose handshake failed; paho leaves it open."""
        if self.last is not None:
            self.last.close()


def tls_context(source: Source, options: LinkOptions) -> TlsContext:
    """What to trust, and who we are; ConfigError names the file that cannot be used."""
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = options.server_name
    if options.ca_file:
        try:
            context.load_verify_locations(cafile=options.ca_file)
        except OSError as error:
            raise ConfigError(
                f"source {source.id}: cannot read {options.ca_file}: {error}",
                mend="correct ca_file: a PEM file with the certificates to trust",
            ) from error
    else:
        context.load_default_certs()
    if certificate := str(source.settings.get("user_certificate") or ""):
        key = str(source.settings.get("user_key") or "") or None
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise ConfigError(
                f"source {source.id}: cannot use the certificate {certificate}: {error}",
                mend="correct user_certificate and user_key (PEM) in the edge's device_credentials",
            ) from error
    return context


def dial_fault(error: Exception, secure: bool) -> tuple[str, str]:
    """(what went wrong, the mend)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {error.verify_message}",
            "name the certificate of its authority in options.ca_file, and in options.server_name "
            "the name that it bears",
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS cannot be agreed upon: {error.reason or error}",
            "check that this is the broker's TLS port, and whether it wants a client certificate",
        )
    what = str(error) or "no answer in time"
    port = "8883 for mqtts:" if secure else "1883 for mqtt:"
    return what, f"check that the broker is on, its address and port (usually {port})"
