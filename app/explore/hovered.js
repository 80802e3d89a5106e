// Shows the small picture of the point that the mouse is on, beside it. It is asked of the chart at each move, as charts
// come and go. The pictures are set by `hovered.py`.
if (!window.pictureOfPoint) {
  const card = document.body.appendChild(document.createElement("img"));
  card.id = "hovered";
  card.alt = "";
  card.setAttribute("aria-hidden", "true");
  card.style.cssText =
    "position: fixed; width: 96px; height: 96px; object-fit: contain; pointer-events: none; z-index: 99999;" +
    "background: white; border-radius: 6px; box-shadow: 0 1px 6px #0006";
  card.hidden = true;
  document.addEventListener("mousemove", (event) => {
    const chart = event.target.closest?.(".st-key-image_map .js-plotly-plot");
    const point = chart?._hoverdata?.[0];
    const picture = point && window.pictureOfPoint[[point.customdata].flat()[0]];
    card.hidden = !picture;
    if (!picture) return;
    if (card.src !== picture) card.src = picture;
    const isLow = event.clientY > window.innerHeight - 130;
    card.style.left = `${event.clientX - 48}px`;
    card.style.top = `${event.clientY + (isLow ? -120 : 24)}px`;
  });
}
