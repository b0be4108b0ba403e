"""What a broker's reason codes mean and what to do about them.

Used by `mqtt_link`; pure. The codes are those of MQTT 5; the few of 3.1.1 are folded into them.
"""

from __future__ import annotations

_PERMIT = "let the broker's access list permit it to this user"
_WORDS: dict[int, tuple[str, str]] = {
    128: ("an unspecified error", "look into the broker's log"),
    129: ("a malformed packet", "set options.version to what the broker speaks"),
    130: ("a protocol error", "set options.version to what the broker speaks"),
    131: ("the broker does not accept it", "look into the broker's log"),
    132: ("the broker speaks another version of MQTT", "set options.version: 3.1.1"),
    133: ("the client id is not accepted", "set options.client_id to one that the broker permits"),
    134: (
        "wrong user name or password",
        "correct user and password_file in the edge's device_credentials",
    ),
    135: ("not authorized", _PERMIT),
    136: ("the broker is unavailable", "look into the broker's log; the edge tries again"),
    137: ("the broker is busy", "the edge tries again; give the broker room"),
    138: ("this client is banned", "lift the ban at the broker"),
    139: ("the broker is shutting down", "the edge tries again"),
    140: ("wrong authentication method", "let the broker accept user and password"),
    141: ("the keep-alive ran out", "check the network, or set a longer options.keepalive"),
    142: (
        "another client has connected with the same client id",
        "give each connection an options.client_id of its own",
    ),
    143: ("the topic filter is not accepted", "correct the topic"),
    144: ("the topic is not accepted", "correct the topic"),
    147: ("more unconfirmed messages than permitted", "look into the broker's log"),
    149: ("the packet is too large", "let the broker permit larger ones"),
    150: ("too many messages", "let the broker permit more"),
    151: ("a quota is exhausted", "raise the quota at the broker"),
    152: ("closed by an administrator", "ask who runs the broker"),
    153: ("the payload has a wrong format", "correct the operation's value"),
    154: ("the broker keeps no retained messages", "write topic:, not retained:"),
    155: ("the broker does not offer this QoS", "set a lower options.qos"),
    156: ("use another server", "correct the url"),
    157: ("the server has moved", "correct the url"),
    158: ("the broker has no shared subscriptions", "remove `shared`"),
    159: ("too many connections in a short time", "the edge tries again"),
    162: ("the broker takes no wildcards", "name the topics one by one"),
}


def refusal(code: int, name: str = "") -> tuple[str, str]:
    """(what it means with its number, the mend)."""
    words, mend = _WORDS.get(code, (name or "refused", "look into the broker's log"))
    return f"{words} ({code})", mend
