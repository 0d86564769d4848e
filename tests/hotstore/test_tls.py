"""A hot store behind TLS: `rediss://`, and a certificate that has to be right."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.errors import HotStoreUnavailable
from engine.hotstore.store import HotStore
from engine.settings import Settings


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost that vouches for itself, and the context of a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.fixture
async def encrypted(redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """An address that leads through TLS to the run's Redis, and the certificate there."""
    public, context = certificate(tmp_path)
    address = urlsplit(redis_url)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_redis = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(pump(reader, to_redis[1]), pump(to_redis[0], writer), return_exceptions=True)

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    yield f"rediss://:{address.password}@localhost:{port}{address.path}", public
    server.close()


async def test_the_hot_store_is_reached_through_tls(encrypted: tuple[str, Path], settings: Settings) -> None:
    url, public = encrypted
    store = await HotStore.connect(f"{url}?ssl_ca_certs={public}&ssl_check_hostname=true", settings)
    assert await store.time_ms() > 0
    await store.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    encrypted: tuple[str, Path], settings: Settings
) -> None:
    with pytest.raises(HotStoreUnavailable, match="certificate verify failed"):
        await HotStore.connect(encrypted[0], settings)
