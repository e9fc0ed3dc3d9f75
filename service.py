"""What python-for-android starts in another process: the service that takes part in rounds. See docs/android.md."""

from keyboard_app.android.app import serve

if __name__ == "__main__":
    serve()
