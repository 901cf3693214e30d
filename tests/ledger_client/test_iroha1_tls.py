"""TLS to a peer: an authority we trust is needed, and enough."""

import grpc
import pytest
from scripted_peer import ScriptedPeer

from ledger_client.ledger import LedgerUnreachable

# A self-signed pair for 127.0.0.1, made for this test and used nowhere else; valid until 2126.
PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgo3DVcSwdkM4aXSPW
nkQKd5UdIXkMvX61tiJQSKJsDiqhRANCAASeXkZK5K9AH8DDEvScXyqFvmsQsui0
f/j6RvTttAvw8aQziZBGWPf01hkKUmTeM1tbxd7riv8dWZGlcdeRZLuT
-----END PRIVATE KEY-----
"""
CERTIFICATE = b"""-----BEGIN CERTIFICATE-----
MIIBhzCCASygAwIBAgIUEyv8d9n7aQjrBdtYDNtW54sMAZIwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcGVlcjAgFw0yNjExMjIyMDQ1MjJaGA8yMTI2MTAyOTIwNDUy
MlowDzENMAsGA1UEAwwEcGVlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJ5e
Rkrkr0AfwMMS9JxfKoW+axCy6LR/+PpG9O20C/DxpDOJkEZY9/TWGQpSZN4zW1vF
3uuK/x1ZkaVx15Fku5OjZDBiMB0GA1UdDgQWBBTwbzwCNa3HLonhr0ukiPrj05//
DjAfBgNVHSMEGDAWgBTwbzwCNa3HLonhr0ukiPrj05//DjAPBgNVHRMBAf8EBTAD
AQH/MA8GA1UdEQQIMAaHBH8AAAEwCgYIKoZIzj0EAwIDSQAwRgIhAPo84sQJwhmf
pV1E4x5Rvi1zoRBiu4xakm5A3kmJ2xJOAiEA0Q/NIY8vfzfKM25RL2415BlAZtM9
Ps1+h6gS2BSeknQ=
-----END CERTIFICATE-----
"""


@pytest.fixture
async def peer():
    private = ScriptedPeer()
    await private.start(credentials=grpc.ssl_server_credentials([(PRIVATE, CERTIFICATE)]))
    yield private
    await private.stop()


async def test_a_peer_whose_authority_we_trust_is_spoken_to(peer, client_of):
    assert await client_of(peer, tls_ca=CERTIFICATE).healthy()


async def test_a_peer_without_tls_is_not_spoken_to_when_it_is_asked_for(peers, client_of):
    client = client_of(peers[0], tls_ca=CERTIFICATE, deadline_s=1.0)
    with pytest.raises(LedgerUnreachable):
        await client.statuses(["ab"])
    assert peers[0].asked == {}


async def test_a_peer_with_tls_is_not_spoken_to_in_the_clear(peer, client_of):
    with pytest.raises(LedgerUnreachable):
        await client_of(peer, deadline_s=1.0).statuses(["ab"])
    assert peer.asked == {}
