"""Samples for the scanner: credentials by their documented shape, and what only looks like them.

Every sample is made from a seed and is nobody's: random bodies of the right alphabet and length,
checksums that hold where the format has one, tokens of three parts that decode. A format is a
family, a name, and a function that makes one; each is put into several surroundings.
"""

import base64
import binascii
import hashlib
import json
import random
import string
import uuid
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
URL64 = ALNUM + "-_"
BASE64 = ALNUM + "+/"
LOREM = ("lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
         "labore et dolore magna aliqua enim minim veniam quis nostrud exercitation").split()


def body(rng, alphabet, count):
    return "".join(rng.choice(alphabet) for _ in range(count))


def with_crc(rng, prefix):
    """GitHub's and npm's: 30 random characters and their CRC-32 in six digits of base 62."""
    random_part = body(rng, BASE62, 30)
    crc, digits = zlib.crc32(random_part.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        digits = BASE62[digit] + digits
    return prefix + random_part + digits


def jwt(rng):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return ".".join((part({"alg": "HS256", "typ": "JWT"}),
                     part({"sub": body(rng, string.digits, 10), "iat": rng.randrange(2 * 10**9)}),
                     body(rng, URL64, 43)))


def pem(rng, label="RSA PRIVATE KEY"):
    text = base64.b64encode(rng.randbytes(600)).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return f"-----BEGIN {label}-----\n" + "\n".join(lines) + f"\n-----END {label}-----"


FORMATS = {
    "GitHub (5 kinds, CRC)": lambda r: with_crc(r, r.choice(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"))),
    "GitHub fine-grained": lambda r: f"github_pat_{body(r, ALNUM, 22)}_{body(r, ALNUM, 59)}",
    "GitLab": lambda r: r.choice(("glpat-", "gldt-", "glrt-")) + body(r, URL64, 20),
    "npm (CRC)": lambda r: with_crc(r, "npm_"),
    "PyPI": lambda r: "pypi-AgEIcHlwaS5vcmc" + body(r, URL64, 140),
    "crates.io": lambda r: "cio" + body(r, ALNUM, 32),
    "RubyGems": lambda r: "rubygems_" + body(r, HEX, 48),
    "Docker Hub": lambda r: "dckr_pat_" + body(r, URL64, 27),
    "AWS access key id": lambda r: r.choice(("AKIA", "ASIA")) + body(r, UPPER32, 16),
    "AWS secret key": lambda r: "aws_secret_access_key = " + body(r, BASE64, 40),
    "Google API key": lambda r: "AIza" + body(r, URL64, 35),
    "Google OAuth secret": lambda r: "GOCSPX-" + body(r, URL64, 28),
    "Azure storage key": lambda r: "AccountKey=" + base64.b64encode(r.randbytes(64)).decode(),
    "Azure Entra secret": lambda r: body(r, ALNUM, 3) + "8Q~" + body(r, ALNUM + "_-", 34),
    "DigitalOcean": lambda r: "dop_v1_" + body(r, HEX, 64),
    "Databricks": lambda r: "dapi" + body(r, HEX, 32),
    "OpenAI": lambda r: "sk-proj-" + body(r, URL64, 74) + "T3BlbkFJ" + body(r, URL64, 74),
    "Anthropic": lambda r: "sk-ant-api03-" + body(r, URL64, 93) + "AA",
    "Hugging Face": lambda r: "hf_" + body(r, ALNUM, 34),
    "Groq": lambda r: "gsk_" + body(r, ALNUM, 52),
    "Slack": lambda r: "-".join((r.choice(("xoxb", "xoxp")), body(r, string.digits, 12),
                                 body(r, string.digits, 12), body(r, ALNUM, 24))),
    "Slack webhook": lambda r: "https://hooks.slack.com/services/T" + body(r, UPPER32, 8) + "/B"
                               + body(r, UPPER32, 8) + "/" + body(r, ALNUM, 24),
    "Telegram": lambda r: body(r, string.digits, 10).replace("0", "1") + ":AA" + body(r, URL64, 33),
    "Discord webhook": lambda r: "https://discord.com/api/webhooks/" + body(r, "123456789", 18)
                                 + "/" + body(r, URL64, 68),
    "Stripe": lambda r: r.choice(("sk_live_", "rk_live_", "sk_test_")) + body(r, ALNUM, 24),
    "Square": lambda r: "sq0atp-" + body(r, URL64, 22),
    "Shopify": lambda r: "shpat_" + body(r, HEX, 32),
    "Twilio": lambda r: "SK" + body(r, HEX, 32),
    "SendGrid": lambda r: "SG." + body(r, URL64, 22) + "." + body(r, URL64, 43),
    "Mailgun": lambda r: "key-" + body(r, HEX, 32),
    "Grafana": lambda r: "glsa_" + body(r, ALNUM, 32) + "_" + body(r, HEX, 8),
    "New Relic": lambda r: "NRAK-" + body(r, string.ascii_uppercase + string.digits, 27),
    "Vault": lambda r: "hvs." + body(r, URL64, 90),
    "Terraform Cloud": lambda r: body(r, ALNUM, 14) + ".atlasv1." + body(r, URL64, 67),
    "Linear": lambda r: "lin_api_" + body(r, ALNUM, 40),
    "age": lambda r: "AGE-SECRET-KEY-1" + body(r, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "JSON web token": jwt,
    "Private key (PEM)": pem,
    "Private key (OpenSSH)": lambda r: pem(r, "OPENSSH PRIVATE KEY"),
    "Bearer header": lambda r: "Authorization: Bearer " + body(r, ALNUM, 31) + "7",
    "Basic header": lambda r: "Authorization: Basic "
                              + base64.b64encode(("ada:" + body(r, ALNUM, 18)).encode()).decode(),
    "Password in a URL": lambda r: "https://ada:" + body(r, ALNUM, 14) + "@git.example.com/x.git",
    "Database URL": lambda r: "postgres://ada:" + body(r, ALNUM, 14) + "@db.example.com:5432/x",
    "ADO connection string": lambda r: "Server=db;User Id=ada;Password=" + body(r, ALNUM, 12) + ";",
    "password=… (env)": lambda r: "DB_PASSWORD=" + r.choice(LOREM) + body(r, ALNUM, 6),
    "password: … (YAML)": lambda r: "password: " + r.choice(LOREM) + body(r, string.digits, 4),
    "\"password\": … (JSON)": lambda r: json.dumps({"password": r.choice(LOREM) + r.choice(("!7", "99", "xy"))}),
    "api_key … (4 notations)": lambda r: r.choice(
        ("api_key = '%s'", "apiKey: \"%s\"", "{\"api_key\":\"%s\"}", "SERVICE_API_KEY=%s"))
        % body(r, ALNUM, 32),
    "client_secret …": lambda r: r.choice(("client_secret=%s&x=1", "clientSecret: '%s'",
                                           "<clientSecret>%s</clientSecret>")) % body(r, ALNUM, 36),
}

# What of a sample is the secret, where that is not all of it: what is behind the last of these.
MARKS = ("/services/", "webhooks/", "Bearer ", "Basic ", "ada:", "Password=", "PASSWORD=", "password: ",
         "AccountKey=", "access_key = ", "_secret=", "Secret: '", "Secret>", "_key = '", "Key: \"",
         "_key\":\"", "_KEY=", "\"password\": \"")
SURROUNDINGS = (
    "%s",
    "2026-11-20T09:00:00Z level=info msg=started value=%s",
    "the value is %s.",
)


def secret_of(sample):
    """The shortest text that must be gone: a middle piece, so that a half-masked one is noticed."""
    start = 0
    for mark in MARKS:
        at = sample.find(mark)
        if at >= 0:
            start = max(start, at + len(mark))
    secret = sample[start:]
    for end in ("@", "&", "<", "\"", "'", ";"):
        secret = secret.split(end)[0] if end in secret and start else secret
    return secret


def positives(count, seed=1):
    """Yields (format, text, secret); the text is one or more whole lines."""
    rng = random.Random(seed)
    for name, make in FORMATS.items():
        for i in range(count):
            sample = make(rng)
            alone = "\n" in sample or name.endswith(("(YAML)", "(env)", "(JSON)"))
            text = (SURROUNDINGS[0] if alone else SURROUNDINGS[i % len(SURROUNDINGS)]) % sample
            yield name, text, secret_of(sample)


LOOK_ALIKES = {
    "SHA-256 digests": lambda r: "sha256:" + hashlib.sha256(r.randbytes(8)).hexdigest(),
    "git hashes": lambda r: f"commit {hashlib.sha1(r.randbytes(8)).hexdigest()}",
    "UUIDs": lambda r: f"request {uuid.UUID(bytes=r.randbytes(16), version=4)}",
    "integrity (SRI)": lambda r: "\"integrity\": \"sha512-"
                                 + base64.b64encode(r.randbytes(64)).decode() + "\"",
    "base64 blobs": lambda r: "data " + base64.b64encode(r.randbytes(48)).decode(),
    "hexadecimal dumps": lambda r: "0000 " + binascii.hexlify(r.randbytes(16), " ").decode(),
    "certificates": lambda r: pem(r, "CERTIFICATE"),
    "public keys": lambda r: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5" + body(r, BASE64, 48) + " ada@host",
    "prose": lambda r: " ".join(r.choice(LOREM) for _ in range(12)) + ".",
    "prose about secrets": lambda r: f"The {r.choice(('password', 'token', 'API key'))} of "
                                     f"{r.choice(LOREM)} must be {r.choice(LOREM)}; see secret: "
                                     f"{r.choice(LOREM)}",
    "placeholders": lambda r: r.choice((
        "password=${DB_PASSWORD}", "token: <your-token>", "API_KEY=$API_KEY", "secret: {{ secret }}",
        "password: ********", "ghp_" + "x" * 36, "api_key=YOUR_API_KEY_HERE", "Bearer $TOKEN")),
    "program code": lambda r: r.choice((
        "password = getpass.getpass()", "token = tokens[%d]", "def login(user, password: str):",
        "const token = await getToken(%d);", "secret = os.environ['APP_SECRET']",
        "if (token.type == TOKEN_%d) next();", "private String password;", "key-value-store-%d",
        "self.password = password or DEFAULT", "api_key=settings.api_key, timeout=%d",
        "password: z.string().min(%d)", "tokenizer = load('cl100k_base')")).replace(
            "%d", str(r.randrange(10**6))),
    "settings about secrets": lambda r: r.choice((
        "password_file=/run/secrets/db%d", "token_count: %d00000", "max_tokens=%d", "secretRef: a/b%d",
        "password_min_length: %d", "token_url: https://example.com/%d", "secret_name: prod-db-%d")
        ).replace("%d", str(r.randrange(10, 10**5))),
    "names with a prefix": lambda r: r.choice(("npm_config_", "hf_hub_", "sk_test", "glpat_", "key-"))
                                     + "_".join(r.choice(LOREM) for _ in range(5)),
    "paths and versions": lambda r: f"/usr/lib/{r.choice(LOREM)}/v{r.randrange(99)}.{r.randrange(99)}"
                                    f"/{body(r, HEX, 12)}.so",
}


def negatives(count, seed=2):
    """Yields (class, text) in which nothing is a secret."""
    rng = random.Random(seed)
    for name, make in LOOK_ALIKES.items():
        for _ in range(count):
            yield name, make(rng)
