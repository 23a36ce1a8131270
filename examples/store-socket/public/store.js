// store.js - the store of the shop: the state that all components show, and the one socket of the whole page. Components
// read the state, commit and dispatch; none of them knows that there is a socket.
// SPDX-License-Identifier: MIT

import { useWebSocket } from "./common/moonwire.js";

const HEART_CHECK = JSON.stringify({ type: "heartCheck" });

function createStore({ state, mutations, actions }) {
  const listeners = new Set();
  const store = {
    state,
    commit(type, payload) {
      mutations[type](state, payload);
      for (const listener of listeners) listener({ type, payload }, state);
    },
    dispatch: (type, payload) => actions[type](store, payload),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}

const socket = useWebSocket("./", {
  immediate: false,
  autoReconnect: { retries: -1, delay: 1000 },
  // The server beats and we answer; 30 s and 1 s without a beat, and the connection is made anew.
  heartbeat: {
    message: null, responseMessage: (data) => data === HEART_CHECK, answer: HEART_CHECK, interval: 30_000, pongTimeout: 1_000,
  },
  onConnected: () => store.dispatch("authenticate"),
  onMessage: (ws, { data }) => store.dispatch("hear", JSON.parse(data)),
  onStatus: (status, retry) => store.commit("status", retry ? "waiting" : status.toLowerCase()),
});

export const store = createStore({
  state: {
    token: sessionStorage.getItem("token"),
    name: sessionStorage.getItem("name"),
    status: "closed",
    known: false, // the server has accepted the token on this connection
    stock: {},
    basket: {},
    online: 0,
    problem: "",
  },

  mutations: {
    login(state, { name, token }) {
      Object.assign(state, { name, token, problem: "" });
      sessionStorage.setItem("name", name);
      sessionStorage.setItem("token", token);
    },
    logout(state) {
      Object.assign(state, { token: null, known: false, basket: {} });
      sessionStorage.clear();
    },
    status(state, status) {
      state.status = status;
      state.known = false;
    },
    auth: (state) => (state.known = true),
    stock: (state, stock) => (state.stock = stock),
    basket: (state, basket) => (state.basket = basket),
    online: (state, online) => (state.online = online),
    error: (state, problem) => (state.problem = problem),
  },

  actions: {
    async login({ commit, dispatch }, name) {
      try {
        const answer = await fetch("login", { method: "POST", body: JSON.stringify({ name }) });
        const body = await answer.json();
        if (!answer.ok) throw new Error(body.problem);
        commit("login", { name, token: body.token });
        dispatch("connect");
      } catch (error) {
        commit("error", `You can't come in: ${error.message}`);
      }
    },
    logout({ commit }) {
      commit("logout");
      socket.close(1000, "logged out");
    },
    connect: ({ state }) => state.token && socket.open(),
    authenticate: ({ state }) => socket.send(JSON.stringify({ type: "auth", data: state.token })),
    hear({ commit, dispatch }, { type, data }) {
      if (type !== "noAuth") return commit(type, data);
      dispatch("logout");
      commit("error", "The shop doesn't know you any more. Please come in again.");
    },
    buy({ commit }, article) {
      commit("error", "");
      socket.send(JSON.stringify({ type: "buy", data: article }), false);
    },
  },
});
