"""What Android is asked, through Java: how the device is, where files are, and a key that never leaves its keystore."""

from pathlib import Path
from typing import Any

from federation.protocol.conditions import Conditions

_KEY_NAME = "fedkey"
_CIPHER = "AES/GCM/NoPadding"
_TAG_BITS, _NONCE_BYTES = 128, 12


def java(name: str) -> Any:
    """Return a Java class."""
    from jnius import autoclass  # noqa: PLC0415 - only Android has it

    return autoclass(name)


def context() -> Any:
    """Return the activity, or the service that this process is."""
    service = java("org.kivy.android.PythonService").mService
    return service or java("org.kivy.android.PythonActivity").mActivity


def files_folder() -> Path:
    """Return the folder that no other application reads."""
    return Path(context().getFilesDir().getAbsolutePath()) / "fedkey"


class AndroidConditions:
    """See `keyboard_app.profile.DeviceConditions`."""

    def now(self) -> Conditions:
        """See there: idle is a dark screen."""
        names, here = java("android.content.Context"), context()
        power = here.getSystemService(names.POWER_SERVICE)
        battery = here.getSystemService(names.BATTERY_SERVICE)
        network = here.getSystemService(names.CONNECTIVITY_SERVICE)
        unmetered = network.getActiveNetwork() is not None and not network.isActiveNetworkMetered()
        return Conditions(idle=not power.isInteractive(), charging=bool(battery.isCharging()), unmetered=unmetered)


class AndroidSealer:
    """See `keyboard_app.android.keys.Sealer`: the key is made in the Android Keystore, and only used there."""

    def seal(self, content: bytes) -> bytes:
        """See there."""
        cipher = java("javax.crypto.Cipher").getInstance(_CIPHER)
        cipher.init(java("javax.crypto.Cipher").ENCRYPT_MODE, self._key())
        sealed = _bytes(cipher.doFinal(bytearray(content)))
        return _bytes(cipher.getIV()) + sealed

    def unseal(self, sealed: bytes) -> bytes:
        """See there."""
        cipher = java("javax.crypto.Cipher").getInstance(_CIPHER)
        nonce = java("javax.crypto.spec.GCMParameterSpec")(_TAG_BITS, bytearray(sealed[:_NONCE_BYTES]))
        cipher.init(java("javax.crypto.Cipher").DECRYPT_MODE, self._key(), nonce)
        return _bytes(cipher.doFinal(bytearray(sealed[_NONCE_BYTES:])))

    def _key(self) -> Any:
        store = java("java.security.KeyStore").getInstance("AndroidKeyStore")
        store.load(None)
        if not store.containsAlias(_KEY_NAME):
            purposes = java("android.security.keystore.KeyProperties")
            described = java("android.security.keystore.KeyGenParameterSpec$Builder")(
                _KEY_NAME, purposes.PURPOSE_ENCRYPT | purposes.PURPOSE_DECRYPT
            )
            described.setBlockModes([purposes.BLOCK_MODE_GCM])
            described.setEncryptionPaddings([purposes.ENCRYPTION_PADDING_NONE])
            described.setKeySize(256)
            maker = java("javax.crypto.KeyGenerator").getInstance("AES", "AndroidKeyStore")
            maker.init(described.build())
            maker.generateKey()
        return store.getKey(_KEY_NAME, None)


def _bytes(array: Any) -> bytes:
    """Return Java's bytes, which have a sign."""
    return bytes(value & 0xFF for value in array)
