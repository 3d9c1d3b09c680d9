# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Fetches what the tests of the Android library want, once, into build/android/fetched:
`make android-fetch`.

python -m tests.android.fetch

What can't be fetched is named; exit status 1.
"""

from __future__ import annotations

import sys

from tests.android import oaq_android

TFLITE = "org.tensorflow:tensorflow-lite:2.16.1:aar"
"""Headers, and the libraries that stock apps load."""
ANDROID = "org.robolectric:android-all:6.0.1_r3-robolectric-r1:jar"
"""Android's own classes, of API level 23."""
HOST_NATIVE = "ai.djl.tflite:tflite-native-cpu:2.6.2:jar:linux-x86_64"
"""TensorFlow Lite's JNI library, for the JVM of an ordinary Linux."""
HOST_CLASSES = "ai.djl.tflite:tflite-engine:0.27.0:jar"
"""Its Java classes."""
ARTIFACTS = (oaq_android.TFLITE_API, TFLITE, ANDROID, HOST_NATIVE, HOST_CLASSES)


def main() -> int:
    """Fetches all there is.

    Returns:
      The exit code: 1 where something is missing.
    """
    failed = 0
    for artifact in ARTIFACTS:
        try:
            oaq_android.fetch(artifact)
        except oaq_android.AndroidError as error:
            print(f"{artifact}: {error}", file=sys.stderr)
            failed += 1
        else:
            print(f"{artifact}: there")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
