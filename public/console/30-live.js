// A part that goes on by itself: <section data-live="seconds"> is taken anew from the same page every so often. Once the
// page has no such part any more, it has become another one, and is opened.
{
  const part = () => document.querySelector('[data-live]');
  const again = async () => {
    try {
      if (!document.hidden) {
        const answer = await fetch(location.pathname, { headers: { Accept: 'text/html' } });
        const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
        const live = next.querySelector('[data-live]');
        if (answer.ok && live === null) return location.replace(location.pathname);
        if (live !== null) part().replaceWith(document.adoptNode(live));
      }
    } catch {
      // The service is away for a moment: it is asked again.
    }
    wait();
  };
  const wait = () => setTimeout(again, Number(part().dataset.live) * 1000);
  if (part() !== null) wait();
}
