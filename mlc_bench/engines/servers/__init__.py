"""Servers: requests, what their failures mean, options for those that differ, costs. API judges use it, too."""
