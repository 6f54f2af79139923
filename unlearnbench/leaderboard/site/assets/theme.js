// Light or dark: what the reader chose last, or else what the system says. Loaded first, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };

  function apply(theme) {
    root.dataset.theme = theme;
    root.classList.toggle("dark", theme === "dark"); // DataTables looks for this class
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = theme === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", `Use the ${theme === "dark" ? "light" : "dark"} theme`);
    }
    document.dispatchEvent(new Event("themechange"));
  }

  const present = () => remembered() ?? (system.matches ? "dark" : "light");
  apply(present());
  system.addEventListener("change", () => apply(present()));
  document.addEventListener("DOMContentLoaded", () => {
    apply(present());
    document.getElementById("theme").addEventListener("click", () => {
      const theme = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("theme", theme); } catch { /* a page without storage forgets the choice */ }
      apply(theme);
    });
  });
})();
