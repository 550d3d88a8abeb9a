"""An RTSP camera for tests: GStreamer's server with drawn H.264 pictures.

Usage: rtsp_server.py PORT [basic|digest USER PASSWORD]
Port 0 takes a free one; the port is printed as soon as cameras may connect. Lines on standard input change the
picture ("white", "black"); at their end the server ends, so that none outlives its test.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ROLE = "camera"
# Path, width, height, pictures a second.
VIEWS = (("/live", 640, 480, 25), ("/wide", 1920, 1080, 5), ("/fast", 320, 240, 50))


def launch(width, height, fps):
    """A whole picture each second, as a well-set camera sends it, and none that refers to a later one."""
    return (
        f"( videotestsrc name=scene is-live=true pattern=black ! video/x-raw,width={width},height={height},"
        f"framerate={fps}/1 ! openh264enc gop-size={fps} complexity=low ! h264parse "
        "! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )


def guard(server, factories, method, user, password):
    """Lets nobody in but this user."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if method == "basic":
        auth.set_supported_methods(1)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(2)
        auth.add_digest(user, password, token)
    server.set_auth(auth)
    allowed = "media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    for factory in factories:
        factory.add_role_from_structure(Gst.Structure.new_from_string(f"{ROLE}, {allowed}"))


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    scenes = []
    factories = []
    for path, width, height, fps in VIEWS:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch(width, height, fps))
        factory.set_shared(True)
        factory.connect("media-configure", lambda _, media: scenes.append(media.get_element().get_by_name("scene")))
        server.get_mount_points().add_factory(path, factory)
        factories.append(factory)
    if len(sys.argv) > 2:
        guard(server, factories, *sys.argv[2:5])
    loop = GLib.MainLoop()

    def on_line(_channel, _condition):
        line = sys.stdin.readline().strip()
        if not line:
            loop.quit()
            return False
        if scenes:
            scenes[-1].set_property("pattern", line)
        return True

    GLib.io_add_watch(GLib.IOChannel.unix_new(0), GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, on_line)
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    print(server.get_bound_port(), flush=True)
    loop.run()


main()
