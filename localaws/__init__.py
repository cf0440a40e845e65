"""The loopback AWS: the template of this project on 127.0.0.1, with no account and no Docker."""

import os

# moto makes sessions while it is imported, and a profile that names an account has no place here.
for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(name, None)
