// Temml and its style sheet, in one part of the page that is loaded for the first formula.
import temml from "temml";
import "temml/dist/Temml-Local.css";

export { temml };
