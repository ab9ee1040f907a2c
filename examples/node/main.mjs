// A program of your own around a bundle: names what is on each picture.
import { openClassifier, readPicture } from './classifier/index.mjs';

try {
  const classifier = await openClassifier();
  for (const file of process.argv.slice(2)) {
    const best = await classifier.classify(await readPicture(file), 3);
    const lines = best.map((one) => `  ${(100 * one.probability).toFixed(1)} %  ${one.label}`);
    console.log([file, ...lines].join('\n'));
  }
  await classifier.close();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
