// A page of your own around a bundle: names what is on the picture that is chosen.
import { openBundle } from './classifier/app/bundle.js';
import { decode } from './classifier/app/decode.js';

const [input, output] = ['input', 'output'].map((name) => document.querySelector(name));
const say = (text) => { output.textContent = text; };
const opened = openBundle(say).then(({ classifiers }) => classifiers[0]);

async function answer(file) {
  const best = await (await opened).classify(await decode(file), 3);
  const lines = best.map((one) => `${(100 * one.probability).toFixed(1)} %  ${one.label}`);
  return [file.name, ...lines].join('\n');
}

input.addEventListener('change', async () => {
  const file = input.files[0];
  const text = file && await answer(file).catch((error) => error.message);
  if (text && file === input.files[0]) say(text); // not where another one was chosen meanwhile
});
opened.then(() => say('Choose a picture.'), (error) => say(error.message));
