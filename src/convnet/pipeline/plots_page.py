"""Write a template for `dvc plots show` that needs no network.

DVC's own page loads vega from a content delivery network. `plots.html_template` names this page instead, which holds
the scripts of the package vl-convert-python. It is 0.9 MB and depends on the installed version alone, so `make` writes
it and git ignores it.
"""

import argparse
from pathlib import Path

import vl_convert

from convnet.system.errors import command
from convnet.system.files import write_text

# The newest release of the major version that DVC's templates are written for: their $schema is vega-lite/v5.json.
VEGA_LITE_VERSION = "5.21"

# DVC calls vegaEmbed(element, spec). The menu has no entry for the Vega editor, which needs a network. A plot that
# cannot be drawn shows the error in its place.
SNIPPET = """
const options = {renderer: "svg", actions: {export: true, source: false, compiled: false, editor: false}};
window.vegaEmbed = (element, spec) => vegaEmbed(element, spec, options).catch((error) => {
  document.querySelector(element).textContent = "This plot cannot be drawn: " + error.message;
});
"""

# DVC replaces {refresh_tag} and {plot_divs}. The policy forbids every load from elsewhere. Vega compiles expressions,
# which needs unsafe-eval.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src 'self' file: data: blob:">
{refresh_tag}
<title>Plots</title>
<style>
  body { margin: 2rem auto; max-width: 100rem; padding: 0 1rem; background: #fff; color: #222;
         font: 1rem/1.5 system-ui, sans-serif; }
  body > div { margin: 0 0 2rem; padding: 1rem !important; border: 1px solid #ddd !important; border-radius: 4px;
               overflow-x: auto; }
  img { max-width: 100%; }
  /* The revisions of an image side by side, as far as the page is wide. */
  body > div:has(> div > img) { display: flex; flex-wrap: wrap; gap: 0.5rem; white-space: normal !important; }
  body > div > p { flex-basis: 100%; margin: 0; }
  body > div > div:has(> img) { flex: 1 1 0; min-width: 20rem; margin: 0 !important; }
  table { border-collapse: collapse; }
  th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid #ddd; text-align: left; }
</style>
<script>SCRIPTS</script>
</head>
<body>
<h1>Plots</h1>
{plot_divs}
</body>
</html>
"""


def build_page() -> str:
    """Return the page template: text with the placeholders `{refresh_tag}` and `{plot_divs}` of DVC, once each."""
    scripts = vl_convert.javascript_bundle(SNIPPET, VEGA_LITE_VERSION)
    # This sequence alone would end the script element early; in a JavaScript string both spellings are the same.
    return PAGE.replace("SCRIPTS", scripts.replace("</script", "<\\/script"))


@command
def main() -> None:
    """Write the page template to the path given on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path, help="the file that plots.html_template in .dvc/config names")
    write_text(parser.parse_args().path, build_page())


if __name__ == "__main__":
    main()
