"""A page in the browser: drop a video or a picture, or switch on the webcam, and see the masks.

  python run.py --config=configs/app.py

It needs the extra `app` (pip install -e '.[app]'). Only this machine reaches it, unless
--config.app.host says otherwise. The networks are those that ship, or others with
--config.weights=FOLDER. With --workdir=FOLDER what people upload lies in that folder, else in the
system's temporary one; it is removed at the end. docs/app.md says what the page shows, what it
takes and how safe it is.
"""

from ml_collections import ConfigDict

from configs import primary


def get_config() -> ConfigDict:
  config = primary.get_config()
  config.job = 'app'
  return config
