// Whether the dialog of invitations is open. It stands once, apart from the buttons that open it: those
// come and go with the panel of people.
class Inviting {
  open = $state(false);
}

export const inviting = new Inviting();
