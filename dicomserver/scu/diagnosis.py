"""Where a connection fails, step by step: name, TCP, TLS, association, C-ECHO; and what to change, in plain words."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicomserver.scu.echo import CONTEXT, echo_over
from dicomserver.scu.failures import Aborted, AssociationFailed, Refused, Silent, Violated
from dicomserver.scu.peer import Peer
from dicomserver.scu.requester import Requester
from dicomserver.standard.dictionary import uid_name
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION

_UNCOMPRESSED = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
# What a PACS usually offers; whoever asks for a diagnosis wants to know which of it this one does.
_SERVICES = (
    "1.2.840.10008.5.1.4.1.1.2",        # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.4",        # MR Image Storage
    "1.2.840.10008.5.1.4.1.1.7",        # Secondary Capture Image Storage
    "1.2.840.10008.5.1.4.1.2.2.1",      # Study Root FIND, MOVE, GET
    "1.2.840.10008.5.1.4.1.2.2.2",
    "1.2.840.10008.5.1.4.1.2.2.3",
    "1.2.840.10008.1.20.1",             # Storage Commitment Push Model
    "1.2.840.10008.5.1.4.31",           # Modality Worklist
)
_WHY_NOT = {1: "the server does not want it (1)", 2: "no reason given (2)", 3: "the server does not know it (3)",
            4: "the server takes none of the transfer syntaxes (4)"}
_REFUSED_ADVICE = {
    (1, 3): "Ask the server's administrator to enter our AE title {own}, or give another one with --aet.",
    (1, 7): "The server goes by another AE title than {called}: give the right one with --called-aet.",
    (1, 2): "This is no server that we can talk to; check host and port.",
    (3, 1): "Try again later.",
    (3, 2): "All its places are taken: try again later, or have its limit of associations raised.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What was looked at, what was found, and, where that is a fault, what to do about it. details: one line each."""

    name: str
    is_good: bool
    found: str
    advice: str = ""
    details: Sequence[str] = ()


def diagnose(peer: Peer) -> Iterator[Step]:
    """The steps as they are taken; a fault is the last one."""
    try:
        addresses = _addresses(peer)
    except OSError as error:
        yield Step("Name", False, f"{peer.host} is no name that this machine knows ({error.strerror})",
                   "Check the spelling; give the IP address instead; or ask who runs the network's DNS.")
        return
    yield Step("Name", True, f"{peer.host} is {', '.join(addresses)}")
    step = _tcp(peer)
    yield step
    if not step.is_good:
        return
    begun = time.monotonic()
    try:
        association = peer.associate([CONTEXT, *((service, _UNCOMPRESSED) for service in _SERVICES)])
    except AssociationFailed as failed:
        is_tls = isinstance(failed, (Aborted, Silent, Violated)) and _speaks_tls(peer)
        yield Step("TLS", not is_tls, "the server wants TLS" if is_tls else "the server does not ask for it",
                   "Use its port without TLS, if it has one: these tools speak DICOM without TLS." if is_tls else "")
        if not is_tls:
            yield _refused(peer, failed)
        return
    yield Step("TLS", True, "none is needed")
    try:
        with association:
            yield _associated(peer, association, time.monotonic() - begun)
            yield _echoed(association)
    except AssociationFailed as failed:
        yield Step("Release", False, f"the server {failed}", "Nothing was lost, but its log may say why.")


def _addresses(peer: Peer) -> list[str]:
    found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(address[0] for *_, address in found))


def _tcp(peer: Peer) -> Step:
    begun = time.monotonic()
    where = f"port {peer.port}"
    try:
        with socket.create_connection((peer.host, peer.port), peer.connect_timeout or peer.timeout) as connection:
            address = connection.getpeername()[0]
    except ConnectionRefusedError:
        return Step("TCP", False, f"the machine is there, but nothing listens on {where}",
                    "Start the server, or find out which port it has (11112 and 104 are usual).")
    except TimeoutError:
        return Step("TCP", False, f"no answer from {where}",
                    "The machine is off, or a firewall drops the connection: have this port opened for this machine.")
    except OSError as error:
        return Step("TCP", False, f"no way to {where}: {error.strerror}",
                    "Check the address, and whether both machines are in networks that can reach each other.")
    return Step("TCP", True, f"connected to {address} {where} in {_milliseconds(time.monotonic() - begun)}")


def _speaks_tls(peer: Peer) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE     # nothing is sent: whether it speaks TLS at all is the question
    try:
        with socket.create_connection((peer.host, peer.port), peer.connect_timeout or peer.timeout) as connection:
            connection.settimeout(min(peer.timeout, 5))
            with context.wrap_socket(connection):
                return True
    except ssl.SSLError as error:
        # It complains in TLS, perhaps because it wants a certificate of ours.
        return error.reason is not None and "ALERT" in error.reason
    except OSError:
        return False


def _refused(peer: Peer, failed: AssociationFailed) -> Step:
    advice = "Its log may say why: look there for our AE title and the time of this attempt."
    if isinstance(failed, Refused):
        advice = _REFUSED_ADVICE.get((failed.source, failed.reason), advice)
    elif isinstance(failed, Violated):
        advice = "Something else than a DICOM server listens there: check the port."
    elif isinstance(failed, Silent):
        advice = "It takes connections but does not answer: it may be stuck or overloaded, or be no DICOM server."
    return Step("Association", False, f"the server {failed}",
                advice.format(own=peer.calling_ae_title, called=peer.called_ae_title))


def _associated(peer: Peer, association: Requester, seconds: float) -> Step:
    proposed = [VERIFICATION, *_SERVICES]
    results = {result.context_id: result for result in association.answer.presentation_contexts}
    details = []
    for number, uid in enumerate(proposed):
        result = results.get(2 * number + 1)
        if result is None:
            what = "refused: not answered"
        elif result.result:
            what = f"refused: {_WHY_NOT.get(result.result, f'result {result.result}')}"
        else:
            what = f"accepted in {uid_name(result.transfer_syntax)}"
        details.append(f"{uid_name(uid)}: {what}")
    maximum = association.answer.user_information.maximum_length
    found = (f"{peer.calling_ae_title} to {peer.called_ae_title} accepted in {_milliseconds(seconds)}; "
             f"longest PDU that it takes: {maximum if maximum else 'any'}")
    return Step("Association", True, found, details=details)


def _echoed(association: Requester) -> Step:
    context = association.context_for(VERIFICATION)
    if context is None:
        return Step("C-ECHO", False, "the server does not offer it",
                    "Every DICOM server has to: have Verification switched on. Other services may work all the same.")
    try:
        answer = echo_over(association, context.context_id, message_id=1)
    except AssociationFailed as failed:
        return Step("C-ECHO", False, f"the server {failed}", "Its log may say why.")
    if answer.status:
        return Step("C-ECHO", False, f"answered with the failure status {answer.status:04X}H", "Its log may say why.")
    return Step("C-ECHO", True, f"answered in {_milliseconds(answer.echo_seconds)}")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
