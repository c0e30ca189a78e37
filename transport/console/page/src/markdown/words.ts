/** The words that a message adds to its text. */
export const words = {
  code: (language: string) => (language ? `Code, ${language}` : "Code"),
  copied: "Copied",
  copy: "Copy",
  download: "Download",
  done: "Done",
  hiddenMarks: "has invisible marks that change the order of letters",
  noFormula: (reason: string) => `This formula could not be drawn: ${reason}`,
  notDone: "Not done",
  plainCode: "text",
  table: "Table",
  wrap: "Wrap",
};
