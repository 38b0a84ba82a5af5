// The settings of a list: the preview and the explanations follow the typing, and nothing typed is lost unasked.
{
  const edit = document.getElementById('edit');
  const explained = ['redirect-tried', 'whitelist-read', 'cap-costs', 'downloads-opened'];
  const explainedFields = ['redirectTemplate', 'ipWhitelist', 'cap', 'downloadsFromAnyAddress'];
  const pause = 400; // milliseconds without a key

  function afterPause(act) {
    let timer;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(act, pause);
    };
  }

  function follow() {
    const show = edit.querySelector('[data-preview]');
    const unsaved = document.getElementById('unsaved');
    let isUnsaved = edit.dataset.unsaved === 'yes';
    let shown = edit.querySelector('iframe');
    let coming = null;
    let count = 0;
    let asked = 0;

    // A frame of its own for each answer: it takes the old one's place when it is there, without a flicker, and the
    // browser's Back stays what it was.
    const preview = () => {
      coming?.remove();
      const frame = shown.cloneNode();
      frame.removeAttribute('src');
      frame.name = `preview-${++count}`;
      frame.className = 'coming';
      shown.after(frame);
      frame.addEventListener('load', () => {
        const page = frame.contentWindow;
        if (frame !== coming || page.location.href === 'about:blank') return;
        page.scrollTo(0, shown.contentWindow?.scrollY ?? 0);
        shown.remove();
        frame.className = '';
        shown = frame;
        coming = null;
      });
      coming = frame;
      show.formTarget = frame.name;
      edit.requestSubmit(show);
    };
    const explain = async () => {
      const mine = ++asked;
      const body = new URLSearchParams(new FormData(edit));
      body.set('do', 'check');
      body.delete('password');
      const answer = await fetch(edit.action, { method: 'POST', body }).catch(() => null);
      if (!answer?.ok || answer.redirected || mine !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const password = edit.elements.password?.value;
      for (const id of explained) {
        const fresh = page.getElementById(id);
        if (fresh && mine === asked) document.getElementById(id).replaceWith(fresh);
      }
      if (password && edit.elements.password) edit.elements.password.value = password;
    };
    const previewSoon = afterPause(preview);
    const explainSoon = afterPause(() => void explain());

    // Whoever writes a thank-you text wants to see it.
    edit.addEventListener('focusin', ({ target }) => {
      const [, language] = /^thankYou\.(.+)$/.exec(target.name ?? '') ?? [];
      if (!language) return;
      const [page, spoken] = [edit.elements.previewPage, edit.elements.previewLanguage];
      if (page.value === 'thanks' && spoken.value === language) return;
      page.value = 'thanks';
      spoken.value = language;
      previewSoon();
    });
    edit.addEventListener('input', (event) => {
      previewSoon();
      if (event.target.name.startsWith('preview')) return;
      isUnsaved = true;
      unsaved.hidden = false;
      if (explainedFields.includes(event.target.name)) explainSoon();
    });
    edit.addEventListener('submit', (event) => {
      if (!event.submitter?.formTarget) isUnsaved = false;
    });
    window.addEventListener('beforeunload', (event) => {
      if (isUnsaved) event.preventDefault();
    });
    for (const button of edit.querySelectorAll('.check')) button.hidden = true;
    show.parentElement.hidden = true;

    const own = edit.querySelector('[data-own-address]');
    own?.addEventListener('click', (event) => {
      event.preventDefault();
      const field = document.getElementById('ipWhitelist');
      field.value = `${field.value.trimEnd()}\n${own.dataset.ownAddress}\n`.trimStart();
      field.dispatchEvent(new window.Event('input', { bubbles: true }));
      own.hidden = true;
    });
    if (isUnsaved) preview();
  }

  if (edit) follow();
}
