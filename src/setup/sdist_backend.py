"""Stands in for setuptools while pip downloads an sdist.

pip asks every sdist for its metadata and would run the package's own setup.py for that. Snova only wants files
out of the archive, so it answers pip's question itself and nothing of the package is executed.
"""

import os


class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        name, version = os.environ["SNOVA_SDIST_NAME"], os.environ["SNOVA_SDIST_VERSION"]
        folder = "%s-%s.dist-info" % (name, version)
        os.mkdir(os.path.join(metadata_directory, folder))
        with open(os.path.join(metadata_directory, folder, "METADATA"), "w") as metadata:
            metadata.write("Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version))
        return folder


__legacy__ = Backend()
get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
