/* reading.js - another page of the site: the job goes on, and a badge shows how far it is.
 * SPDX-License-Identifier: MIT */

import { follow, sentence, share, showState } from "./session.js";

const $ = (id) => document.getElementById(id);

follow({
  progress: (progress) => {
    $("badge-text").textContent = sentence(progress);
    $("badge-bar").value = share(progress);
    $("badge-bar").hidden = progress.state === "idle";
    $("badge").dataset.state = progress.state;
  },
  state: (state) => showState($("state"), state),
  refused: () => ($("badge-text").textContent = "Your pictures: log in again"),
});
