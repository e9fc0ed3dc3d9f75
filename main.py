"""What python-for-android starts: the application. See docs/android.md."""

from keyboard_app.android.app import main

if __name__ == "__main__":
    main()
