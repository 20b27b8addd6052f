// allauth's scripts tell the console alone that a device did not confirm: here the page says it.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  document.getElementById("passkey-refused").hidden = false;
});
