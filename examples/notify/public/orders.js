// orders.js - the page of orders: a button that makes the server do something, and tell of it later.
// SPDX-License-Identifier: MIT

import { post } from "./notify.js";

const button = document.getElementById("order"), problem = document.getElementById("problem");

button.onclick = async () => {
  button.disabled = true;
  try {
    const answer = await post("orders");
    problem.textContent = answer.ok ? "" : (await answer.json()).problem;
  } catch (error) {
    problem.textContent = `The shop doesn't answer: ${error.message}`;
  }
  problem.hidden = !problem.textContent;
  button.disabled = false;
};
