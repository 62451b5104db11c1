"""What stands on the screen until the bundle has loaded."""

from __future__ import annotations

import reflex as rx


def boot_skeleton() -> rx.Component:
    return rx.el.div(rx.el.span("Loading", class_name="sr-only"), class_name="boot", role="status")
