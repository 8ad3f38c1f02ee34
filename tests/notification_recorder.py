"""A recorder of desktop notifications: it owns their name on the session bus and writes down what it
is told, a line for each. notification_recorder.py FILE
"""
import json
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME = "org.freedesktop.Notifications"


class Recorder(dbus.service.Object):
    @dbus.service.method(NAME, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, app, replaces, icon, summary, body, actions, hints, timeout):
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            print(json.dumps([app, summary, body]), file=file)
        return dbus.UInt32(1)


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
owned = dbus.service.BusName(NAME, bus)
Recorder(bus, "/org/freedesktop/Notifications")
GLib.MainLoop().run()
