// What makes the console nicer where scripts run. Every page works without.

// Buttons that copy: <button hidden data-copy="id of the text" data-copied="said afterwards">.
for (const button of document.querySelectorAll('[data-copy]')) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener('click', async () => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = label), 2000);
  });
}

// A box that ticks all others of its form: <input type="checkbox" hidden data-tick-all="name">.
for (const all of document.querySelectorAll('[data-tick-all]')) {
  all.closest('[hidden]')?.removeAttribute('hidden');
  all.addEventListener('change', () => {
    for (const box of document.querySelectorAll(`input[type=checkbox][name="${all.dataset.tickAll}"]`)) {
      box.checked = all.checked;
    }
  });
}

// The user's menu closes when something else is clicked, or Escape is pressed.
const menu = document.querySelector('details.me');
if (menu) {
  document.addEventListener('click', (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && menu.open) {
      menu.open = false;
      menu.querySelector('summary').focus();
    }
  });
}

// A form is sent once, however often its button is pressed.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.dataset.sent === 'yes') event.preventDefault();
  else if (form.method === 'post' && !event.submitter?.formTarget && !form.target && !form.dataset.again) {
    form.dataset.sent = 'yes';
    setTimeout(() => delete form.dataset.sent, 5000);
  }
});
