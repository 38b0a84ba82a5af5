// A count that takes several requests goes on by itself: <a data-go-on href>.
{
  const goOn = document.querySelector('a[data-go-on]');
  if (goOn) setTimeout(() => location.replace(goOn.href), 300);
}

// How many are selected keeps true while boxes are ticked: <p data-ticked="name"><strong>, in what is hidden for none.
for (const told of document.querySelectorAll('[data-ticked]')) {
  const form = told.closest('form');
  const named = `input[name="${told.dataset.ticked}"]`;
  const numbers = new Intl.NumberFormat(document.documentElement.lang);
  form.addEventListener('change', () => {
    const count = form.querySelectorAll(`${named}[type=hidden], ${named}:checked`).length;
    told.querySelector('strong').textContent = numbers.format(count);
    told.parentElement.hidden = count === 0;
  });
}
