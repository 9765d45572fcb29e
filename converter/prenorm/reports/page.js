// The filter of the tensor table. Without script the filter stays hidden and the table shows every row.
const table = document.getElementById("tensors");
const filter = document.getElementById("filter");
if (table && filter) {
  const rows = Array.from(table.tBodies[0].rows, (row) => ({ row, text: row.textContent.toLowerCase() }));
  const find = document.getElementById("find");
  const kind = document.getElementById("kind");
  const shown = document.getElementById("shown");
  const update = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const { row, text } of rows) {
      const fits = (!kind.value || row.dataset.kind === kind.value) && words.every((word) => text.includes(word));
      row.hidden = !fits;
      left += fits;
    }
    shown.textContent = `${left} of ${rows.length} shown`;
  };
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", update);
  filter.hidden = false;
  update();
}
