"""Keys of scripted slaves: an Ed25519 pair and a certificate around it, as piwheels-protocol(7) wants them for TLS."""
import base64
import hashlib
import pathlib
import ssl
import subprocess
import tempfile


def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout


def fingerprint_of(certificate):
    """Of the public key in a certificate (DER)."""
    public = openssl("x509", "-inform", "DER", "-pubkey", "-noout", data=certificate)
    info = openssl("pkey", "-pubin", "-outform", "DER", data=public)
    return "SHA256:" + base64.b64encode(hashlib.sha256(info).digest()).decode().rstrip("=")


class Identity:
    """Who a slave is: `key` and `certificate` in PEM, its fingerprint, and how it speaks TLS."""

    def __init__(self, key=None):
        self.key = key or openssl("genpkey", "-algorithm", "ed25519").decode()
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "both.pem"
            file.write_text(self.key, encoding="ascii")
            self.certificate = openssl("req", "-x509", "-new", "-key", str(file), "-subj", "/CN=scripted").decode()
            file.write_text(self.key + self.certificate, encoding="ascii")
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.context.minimum_version = ssl.TLSVersion.TLSv1_3
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
            self.context.load_cert_chain(file)
        self.fingerprint = fingerprint_of(ssl.PEM_cert_to_DER_cert(self.certificate))

    def wrap(self, connection):
        return self.context.wrap_socket(connection)

    def store(self, path):
        """Where a slave of ours will find it as its own."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(self.key, encoding="ascii")
