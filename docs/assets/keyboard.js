// Code that is wider than the page can be scrolled with the keyboard. The theme takes the focus from
// it again when it measures the code before its fonts are there.
for (const code of document.querySelectorAll('pre > code')) {
  const reach = () => {
    if (code.scrollWidth > code.clientWidth && code.tabIndex < 0) code.tabIndex = 0;
  };
  new MutationObserver(reach).observe(code, { attributes: true, attributeFilter: ['tabindex'] });
  new ResizeObserver(reach).observe(code);
  reach();
}
