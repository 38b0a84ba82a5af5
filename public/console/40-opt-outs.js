// A count that takes several requests goes on by itself: <a data-go-on href>.
{
  const goOn = document.querySelector('a[data-go-on]');
  if (goOn) setTimeout(() => location.replace(goOn.href), 300);
}
