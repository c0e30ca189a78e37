// Names for people of whom a server in development mode knows nothing.
const moods = "brave bright calm clever cosy curious eager gentle happy jolly kind lively merry mellow nimble polite quiet sunny swift witty".split(" ");
const animals = "badger beaver crane dolphin falcon finch fox gecko hare heron ibis lark lynx marten otter owl panda puffin robin seal swan tern wren".split(" ");

const pick = (words: string[]) => words[Math.floor(Math.random() * words.length)];

export const guestName = (): string => `${pick(moods)}-${pick(animals)}-${10 + Math.floor(Math.random() * 90)}`;
