// What the runtime itself costs.
console.log(200, 0);
