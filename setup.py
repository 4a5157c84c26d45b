"""What pyproject.toml cannot say: site/, which stands beside kb_tools in a clone, lies inside it in a wheel."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["kb_tools*", "implementations*"]), "kb_tools.site_sources"],
    package_dir={"kb_tools.site_sources": "site"},
)
