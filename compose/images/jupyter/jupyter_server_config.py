"""Settings of the server: who gets in, where notebooks are, and that nothing asks the outside."""

c = get_config()  # noqa: F821 - Jupyter's, when it reads this file

# ── who gets in ───────────────────────────────────────────────────────────────────────────────
# With the token of JUPYTER_TOKEN only. Listening on all addresses of a container must not mean
# that any name is answered to: a page elsewhere could have its own name lead here. `jupyter` is the
# name inside the stack, which no name of the outside is.
c.ServerApp.ip = "0.0.0.0"  # noqa: S104 - inside a container
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.allow_remote_access = False
c.ServerApp.local_hostnames = ["localhost", "jupyter"]
c.ServerApp.open_browser = False
c.ServerApp.quit_button = False  # Docker would start it again

# ── where notebooks are ───────────────────────────────────────────────────────────────────────
c.ServerApp.root_dir = "/home/jovyan/work"
# Which notebooks this server has written: outputs of others do not run code in a browser.
c.NotebookNotary.data_dir = "/home/jovyan/work/.jupyter/trust"
c.FileContentsManager.delete_to_trash = False  # the bin is in memory
# What nobody looks at any more does not keep its memory for ever. Seconds.
c.MappingKernelManager.cull_idle_timeout = 12 * 3600
c.MappingKernelManager.cull_interval = 600

# ── nothing asks the outside ──────────────────────────────────────────────────────────────────
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
c.LanguageServerManager.autodetect = False  # there is none
