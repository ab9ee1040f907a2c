"""``python -m resnet_deploy`` is ``resnet-deploy``."""

from resnet_deploy.cli.main import main

main()
