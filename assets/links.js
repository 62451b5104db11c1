// One listener for all links between pages: a link of the router's own would be drawn anew whenever the address changes.
import { useEffect } from "react";
import { useNavigate } from "react-router";

const isPlain = (event) =>
  event.button === 0 && !event.defaultPrevented && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

export const FollowLinks = () => {
  const navigate = useNavigate();

  useEffect(() => {
    const follow = (event) => {
      const link = event.target instanceof Element && isPlain(event) ? event.target.closest("a[data-go]") : null;
      if (!link || link.origin !== location.origin || (link.target && link.target !== "_self")) return;
      event.preventDefault();
      const { pathname, search, hash } = link;
      const here = pathname + search + hash === location.pathname + location.search + location.hash;
      navigate({ pathname, search, hash }, { replace: here });
    };
    document.addEventListener("click", follow);
    return () => document.removeEventListener("click", follow);
  }, [navigate]);

  return null;
};
